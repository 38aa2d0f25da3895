"""Packages of the wheel. ``configs/`` travels as ``pretrain.configs``, so that configs are found from anywhere."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["pretrain*", "data_prep*"]), "pretrain.configs"],
    package_dir={"pretrain.configs": "configs"},
)
