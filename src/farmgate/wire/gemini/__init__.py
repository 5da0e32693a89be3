"""Google's dialect, as the Gemini API and Vertex AI speak it: requests written, answers, streams, embeddings and errors
read.
"""
