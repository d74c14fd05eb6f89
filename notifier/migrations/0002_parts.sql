-- Segments of longer texts, from providers that do not join them. A row without words is kept for a while after its text was
-- read, so that a segment said again is known.
CREATE TABLE part (
  provider TEXT NOT NULL,
  phone_index TEXT NOT NULL,
  reference BIGINT NOT NULL,
  total BIGINT NOT NULL,
  number BIGINT NOT NULL,
  digest TEXT NOT NULL,
  sealed TEXT NOT NULL,
  received_at BIGINT NOT NULL,
  PRIMARY KEY (provider, phone_index, reference, total, number)
);
CREATE INDEX part_open ON part (phone_index, received_at) WHERE sealed <> '';
