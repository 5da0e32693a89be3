"""OpenAI's Responses dialect: requests made of items, answers made of items, streams of typed events."""
