"""Plain data: a paper, and how it is cited. No torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """What is cited for a model.

    Attributes:
        title: In full.
        year: Of the first public version.
        authors: As BibTeX has them: `Last, First and Last, First`, or the first `and others`.
        arxiv: Identifier at arxiv.org, or empty.
        url: Where it can be read, if not there.
    """

    title: str
    year: int
    authors: str = ""
    arxiv: str = ""
    url: str = ""

    @property
    def link(self) -> str:
        """Where it can be read."""
        return f"https://arxiv.org/abs/{self.arxiv}" if self.arxiv else self.url

    def bibtex(self, key: str) -> str:
        """Return its entry for a bibliography.

        Args:
            key: Name of the entry.
        """
        fields = [("title", f"{{{self.title}}}".replace("&", r"\&")), ("year", str(self.year))]
        if self.authors:
            fields.insert(0, ("author", self.authors))
        if self.arxiv:
            fields += [("eprint", self.arxiv), ("archivePrefix", "arXiv")]
        fields.append(("url", self.link))
        body = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields)
        return f"@misc{{{key},\n{body}\n}}"
