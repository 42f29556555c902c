"""More machines, more users than there are here: simulated in virtual time, from costs that were measured."""
