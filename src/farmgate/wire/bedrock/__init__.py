"""Amazon Bedrock's dialect: Converse, and what its embedding models take."""
