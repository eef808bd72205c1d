"""Who is who: administrative units, accounts and roles, sign-in, OpenID Connect, staff directory, digital teams."""
