"""Model cards: facts of the row, computed numbers, results that were stored.

hub.py         the front matter, in the Hub's own words
example.py     a few lines that use the row
claims.py      what a way of training makes good, and where it misleads, each with its paper
conditions.py  to which rows a claim belongs
measured.py    shapes, FLOPs and memory, from the network on the meta device (peak.py)
results.py     what coverage runs found out, read from a file
card.py        all of that for one row
render.py      Markdown, HTML, the index
write.py       the files

No torch, but for what measures.
"""
