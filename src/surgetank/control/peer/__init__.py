"""What others do, as laws on our interface: what ours is compared with. One module for each."""
