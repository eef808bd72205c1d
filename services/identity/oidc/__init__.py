"""OpenID Connect and OAuth 2.0 for applications and partners, on the protocol core of Authlib."""
