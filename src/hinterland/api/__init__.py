"""What the command line and Python scripts share: runs, evaluations, policies, and their start.

Its files load nothing heavy by themselves; users find the public names in `hinterland`.
"""
