"""Model cards: facts of the row, computed numbers, results that were stored. No torch here.

claims.py     what a way of training makes good, and where it misleads, each with its paper
measured.py   shapes, FLOPs and token counts, from the network on the meta device
results.py    what coverage runs found out, read from a file
card.py       all of that for one row
render.py     Markdown, HTML, the index
"""
