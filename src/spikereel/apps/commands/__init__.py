"""The commands of `spikereel`: each module adds its own to the parser, and imports what is heavy where it runs."""
