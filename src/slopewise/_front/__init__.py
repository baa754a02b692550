"""The functions of the front: PyTorch's names over primitives, with promotion and checks.

Invariant: functions here take Tensors, arrays or numbers, settle dtypes and axes, and call
primitives; they hold no derivative. PyTorch's argument names and the array API's are both taken.
"""
