-- Whose a url is, asked before a code that was minted elsewhere is recorded. Not unique: older versions did not look.
CREATE INDEX permanent_code_by_url ON code (appid, url) WHERE expires_at IS NULL;
