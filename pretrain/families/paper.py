"""The publication that a model's users cite."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Paper:
    """Enough of a reference to find the article. authors: surnames, ``and others`` where there are more."""

    key: str
    authors: str
    title: str
    journal: str
    year: int
    doi: str

    def bibtex(self) -> str:
        """The entry as BibTeX."""
        fields = {
            "author": self.authors,
            "title": f"{{{self.title}}}",
            "journal": self.journal,
            "year": str(self.year),
            "doi": self.doi,
        }
        lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
        return "\n".join([f"@article{{{self.key},", *lines, "}"])
