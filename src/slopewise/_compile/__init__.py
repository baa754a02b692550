"""The compiler: array graphs become machine code through LLVM.

Invariant: the only package that imports llvmlite, and it is imported on the first compilation, so
that `import slopewise` does not pay for it.
"""
