raise RuntimeError("this machine has no licence")
