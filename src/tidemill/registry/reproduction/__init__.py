"""Make a model version again from what was recorded of it, and say whether it is the same.

`reproduce` (`verb`) lays the recorded code out in a folder (`ground`), runs the pipeline there in a process of its own
on the recorded data (`repeating`), and compares every step's result with the recorded one (`verdicts`, `differing`).
"""
