"""Prune recurrent networks and see when retraining regains the accuracy.

python prune.py cell=lstm target=h2h
python prune.py -m cell=lstm,gru target=i2h,h2h,both
"""

from espalier.cli import prune

if __name__ == "__main__":
    prune()
