"""The safeguards: each one folder, none of which imports another; they meet in `assembly`."""
