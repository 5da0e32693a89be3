"""What SageMaker puts around the dialect of the container in it."""
