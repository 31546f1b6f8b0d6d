"""The ONNX graphs of the keras engine's model `english`, which take their weights from PyTorch's files."""
