"""The publication that a model's users cite."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Paper:
    """A reference to an article. authors: surnames, ``and others`` if there are more."""

    key: str
    authors: str
    title: str
    journal: str
    year: int
    doi: str

    def bibtex(self) -> str:
        """Return the entry as BibTeX."""
        fields = {
            "author": self.authors,
            "title": f"{{{self.title}}}",
            "journal": self.journal,
            "year": str(self.year),
            "doi": self.doi,
        }
        lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
        return "\n".join([f"@article{{{self.key},", *lines, "}"])
