"""What the drain bench's physics are held against: one published experiment, and exact solutions.

`simulation` plays calls one by one; `metastable` plays a published experiment with it; `retry_chain`
and `call_chain` are solved exactly, and `comparison` holds the simulation against them. The bench's
own compiled world is held against what of it can be solved in `bench_world`.
`python -m surgetank.rehearsal.drain.reference` prints it all. Needs the extra `surgetank[bench]`.
"""
