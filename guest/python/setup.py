"""Copies the contract into the package before it is packed: it lies outside of this folder."""

from pathlib import Path
from shutil import copytree

from setuptools import setup

here = Path(__file__).parent
contract = here / "../../wit"
if (contract / "agent.wit").is_file():
    copytree(contract, here / "src/daca/wit", dirs_exist_ok=True)
setup()
