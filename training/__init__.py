"""How the shipped generators were made, and how to make one's own style: see README.md."""
