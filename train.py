"""Train the base network.

python train.py cell=gru
"""

from espalier.cli import train

if __name__ == "__main__":
    train()
