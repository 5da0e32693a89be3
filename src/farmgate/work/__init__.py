"""Long journeys: pulls, loads and whatever else outlives one request."""
