"""Modules that own parameters and nothing else: no membrane lives here, states go in and come out."""
