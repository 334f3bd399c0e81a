"""What every model promises, checked in one place."""
