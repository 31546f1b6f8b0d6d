"""Processes that open untrusted files: `environment` has what they are told, `limits` what they may take."""
