"""Who answers, elsewhere: one module per wire a provider speaks."""
