"""Many generations while providers misbehave and parts are killed, and the books checked afterwards."""
