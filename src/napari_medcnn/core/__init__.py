"""What everything else speaks in: geometry, volumes, results, events and errors."""
