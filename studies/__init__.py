"""The notes' experiments, one file each, and the rules of their claims; none of it is in the wheel.

    plexus study run gates --data CIFAR10_FOLDER --scale standard   # records in results/gates/standard
    plexus study report gates
    plexus claims                                                   # every verdict, from the records in results/

A study's docstring carries its question, command and cost, and what a record holds; no result stands in it. Below the
`STUDY` are the rules of the claims it answers, in words beside the function that computes them: a rule names its
variants, its measure and its margin, and was written before any trial was run. `margin` is the study's: a smaller
difference, in points of test accuracy, counts as none. Speed is the number of epochs to a fixed training loss, and
changes of it below 10 % count as none. `context`, `segmentation` and `evidence` are what studies share.
"""
