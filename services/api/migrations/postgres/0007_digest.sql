-- Customers told apart by more than an address: networks, tech prefixes, From users, passwords.

ALTER TABLE config.customer_trunk
  ADD COLUMN tech_prefix text NOT NULL DEFAULT '' CHECK (tech_prefix ~ '^[+0-9*#]{0,16}$'),
  ADD COLUMN from_user text NOT NULL DEFAULT '' CHECK (length(from_user) <= 64),
  ADD CONSTRAINT customer_trunk_told_apart UNIQUE (id, tech_prefix, from_user);

-- An address, or a network such as '192.0.2.0/24', may have several owners when tech prefix or From user tell them
-- apart; each row repeats those of its trunk, so that the database itself refuses what could not be told apart.
ALTER TABLE config.customer_trunk_address
  ADD COLUMN tech_prefix text NOT NULL DEFAULT '',
  ADD COLUMN from_user text NOT NULL DEFAULT '',
  DROP CONSTRAINT customer_trunk_address_pkey,
  DROP CONSTRAINT customer_trunk_address_customer_trunk_id_fkey,
  ADD CONSTRAINT customer_trunk_address_pkey PRIMARY KEY (address, tech_prefix, from_user),
  ADD CONSTRAINT customer_trunk_address_customer_trunk_id_fkey
    FOREIGN KEY (customer_trunk_id, tech_prefix, from_user)
    REFERENCES config.customer_trunk (id, tech_prefix, from_user) ON UPDATE CASCADE ON DELETE CASCADE;
CREATE INDEX customer_trunk_address_owner ON config.customer_trunk_address (customer_trunk_id);

CREATE FUNCTION config.tell_address_apart() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  SELECT tech_prefix, from_user INTO NEW.tech_prefix, NEW.from_user
    FROM config.customer_trunk WHERE id = NEW.customer_trunk_id;
  RETURN NEW;
END $$;
CREATE TRIGGER tell_address_apart BEFORE INSERT ON config.customer_trunk_address
  FOR EACH ROW EXECUTE FUNCTION config.tell_address_apart();

-- Digest users. The password itself is not kept: ha1 has its hash by algorithm, good for this realm only.
CREATE TABLE config.customer_trunk_credential (
  username text PRIMARY KEY CHECK (username ~ '^[A-Za-z0-9._+@~-]{1,64}$'),
  customer_trunk_id text NOT NULL REFERENCES config.customer_trunk ON DELETE CASCADE,
  realm text NOT NULL,
  ha1 jsonb NOT NULL
);
CREATE INDEX customer_trunk_credential_owner ON config.customer_trunk_credential (customer_trunk_id);

-- What nonces are signed with, on every node. Made once, here; two random UUIDs hold 244 random bits.
CREATE TABLE config.nonce_key (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  key bytea NOT NULL
);
INSERT INTO config.nonce_key (key)
  VALUES (sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')));

GRANT SELECT ON config.customer_trunk_credential, config.nonce_key TO tandem_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON config.customer_trunk_credential TO tandem_api;
