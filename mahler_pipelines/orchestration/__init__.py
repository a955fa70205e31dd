"""Jobs, schedules, sensors, resources and IO managers."""
