-- Intents are few, and counted every few seconds; the temporary codes among which they stand may be millions.
CREATE INDEX code_of_unknown_outcome ON code (appid) WHERE ticket IS NULL;
