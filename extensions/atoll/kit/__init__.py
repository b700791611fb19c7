"""What every process shares and what knows no capability: errors, settings, database, web, loops, events, hub."""
