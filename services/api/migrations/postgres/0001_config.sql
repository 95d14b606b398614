-- Configuration: written by api, read by everyone.

DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tandem_reader') THEN CREATE ROLE tandem_reader NOLOGIN; END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tandem_api') THEN CREATE ROLE tandem_api NOLOGIN; END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tandem_rating') THEN CREATE ROLE tandem_rating NOLOGIN; END IF;
END $$;
GRANT tandem_reader TO tandem_api, tandem_rating;
GRANT tandem_reader, tandem_api, tandem_rating TO CURRENT_USER;

CREATE SCHEMA config;

-- Counts committed changes; readers compare it with what they have loaded.
CREATE TABLE config.revision (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  n bigint NOT NULL
);
INSERT INTO config.revision (n) VALUES (1);

CREATE TABLE config.account (
  id text PRIMARY KEY,
  name text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 200),
  currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  enabled boolean NOT NULL DEFAULT true,
  credit_limit numeric(28, 10) NOT NULL DEFAULT 0 CHECK (credit_limit >= 0),  -- how far below zero the balance may go
  digits smallint NOT NULL DEFAULT 6 CHECK (digits BETWEEN 0 AND 10),         -- decimals of a charge
  rounding text NOT NULL DEFAULT 'half_up' CHECK (rounding IN ('half_up', 'up', 'down')),
  precision_ms smallint NOT NULL DEFAULT 1 CHECK (precision_ms BETWEEN 1 AND 1000),
  reserve_s integer NOT NULL DEFAULT 60 CHECK (reserve_s BETWEEN 1 AND 3600), -- talk time reserved ahead per call
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE config.deck (
  id text PRIMARY KEY,
  name text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 200),
  currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  version bigint NOT NULL DEFAULT 1,       -- moves with every change of its rates
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE config.rate (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  deck_id text NOT NULL REFERENCES config.deck ON DELETE CASCADE,
  prefix text NOT NULL CHECK (prefix ~ '^[0-9]{0,18}$'),  -- '' matches everything
  destination text NOT NULL DEFAULT '',
  connect_fee numeric(18, 10) NOT NULL DEFAULT 0 CHECK (connect_fee >= 0),
  first_price numeric(18, 10) NOT NULL CHECK (first_price >= 0),  -- per minute
  next_price numeric(18, 10) NOT NULL CHECK (next_price >= 0),
  first_s integer NOT NULL DEFAULT 1 CHECK (first_s BETWEEN 1 AND 86400),
  next_s integer NOT NULL DEFAULT 1 CHECK (next_s BETWEEN 1 AND 86400),
  minimum numeric(18, 10) NOT NULL DEFAULT 0 CHECK (minimum >= 0),
  free_s integer NOT NULL DEFAULT 0 CHECK (free_s BETWEEN 0 AND 86400),
  grace_s integer NOT NULL DEFAULT 0 CHECK (grace_s BETWEEN 0 AND 86400),
  blocked boolean NOT NULL DEFAULT false,
  valid_from timestamptz NOT NULL DEFAULT '-infinity',
  valid_till timestamptz NOT NULL DEFAULT 'infinity',     -- exclusive
  CHECK (valid_from < valid_till)
);
CREATE UNIQUE INDEX rate_of_deck ON config.rate (deck_id, prefix, valid_from);

CREATE TABLE config.customer_trunk (
  id text PRIMARY KEY,
  name text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 200),
  account_id text NOT NULL REFERENCES config.account,
  deck_id text NOT NULL REFERENCES config.deck,
  enabled boolean NOT NULL DEFAULT true,
  max_calls integer CHECK (max_calls >= 0),   -- NULL: no limit
  max_cps integer CHECK (max_cps >= 0),
  max_call_s integer CHECK (max_call_s > 0),
  max_attempts integer NOT NULL DEFAULT 5 CHECK (max_attempts BETWEEN 1 AND 100),
  media_proxy boolean NOT NULL DEFAULT true,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);

-- '192.0.2.1', '192.0.2.1:5060' or '[2001:db8::1]:5060'; the one with a port wins. One owner per address:
-- the database itself refuses a second.
CREATE TABLE config.customer_trunk_address (
  address text PRIMARY KEY,
  customer_trunk_id text NOT NULL REFERENCES config.customer_trunk ON DELETE CASCADE
);

CREATE TABLE config.vendor_trunk (
  id text PRIMARY KEY,
  name text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 200),
  account_id text NOT NULL REFERENCES config.account,
  deck_id text NOT NULL REFERENCES config.deck,
  host text NOT NULL CHECK (length(host) BETWEEN 1 AND 255),
  port integer NOT NULL DEFAULT 5060 CHECK (port BETWEEN 1 AND 65535),
  transport text NOT NULL DEFAULT 'udp' CHECK (transport IN ('udp', 'tcp')),
  enabled boolean NOT NULL DEFAULT true,
  priority integer NOT NULL DEFAULT 100,      -- among equal costs the smaller is tried first
  weight integer NOT NULL DEFAULT 1 CHECK (weight BETWEEN 0 AND 10000),  -- share among equal cost and priority
  max_calls integer CHECK (max_calls >= 0),
  max_cps integer CHECK (max_cps >= 0),
  media_proxy boolean NOT NULL DEFAULT true,
  callee_strip smallint NOT NULL DEFAULT 0 CHECK (callee_strip BETWEEN 0 AND 18),
  callee_prepend text NOT NULL DEFAULT '' CHECK (callee_prepend ~ '^[+0-9*#]{0,24}$'),
  trying_timeout_ms integer NOT NULL DEFAULT 5000 CHECK (trying_timeout_ms BETWEEN 500 AND 32000),
  ringing_timeout_ms integer NOT NULL DEFAULT 120000 CHECK (ringing_timeout_ms BETWEEN 1000 AND 600000),
  stop_codes integer[] NOT NULL DEFAULT '{}', -- instead of the defaults, when not empty
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);

-- Which vendors a customer may use; a customer trunk without rows may use all.
CREATE TABLE config.customer_trunk_vendor (
  customer_trunk_id text NOT NULL REFERENCES config.customer_trunk ON DELETE CASCADE,
  vendor_trunk_id text NOT NULL REFERENCES config.vendor_trunk ON DELETE CASCADE,
  PRIMARY KEY (customer_trunk_id, vendor_trunk_id)
);

CREATE TABLE config.api_user (
  id text PRIMARY KEY,
  name text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 200),
  scopes text[] NOT NULL DEFAULT '{}',
  enabled boolean NOT NULL DEFAULT true,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE config.api_key (
  id text PRIMARY KEY,
  user_id text NOT NULL REFERENCES config.api_user ON DELETE CASCADE,
  hash bytea NOT NULL UNIQUE,       -- SHA-256 of a 256-bit secret
  last_four text NOT NULL,
  expires_at timestamptz,
  revoked_at timestamptz,
  last_used_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE config.webhook (
  id text PRIMARY KEY,
  url text NOT NULL,
  events text[] NOT NULL DEFAULT '{}',   -- empty: all
  secret text NOT NULL,
  previous_secret text,
  enabled boolean NOT NULL DEFAULT true,
  disabled_because text,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);

-- Named settings of the whole switch; a missing row means the default written in the code that reads it.
CREATE TABLE config.setting (
  name text PRIMARY KEY,
  value jsonb NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE SCHEMA api;

CREATE TABLE api.idempotency_key (
  key text NOT NULL,
  user_id text NOT NULL,
  request_hash bytea NOT NULL,
  status integer,                   -- NULL while the first request is under way
  headers jsonb,
  body bytea,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (user_id, key)
);
CREATE INDEX idempotency_key_age ON api.idempotency_key (created_at);

CREATE TABLE api.audit_event (
  id text PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT now(),
  actor text NOT NULL,
  source text NOT NULL,
  action text NOT NULL,
  object_type text NOT NULL,
  object_id text NOT NULL,
  before jsonb,
  after jsonb
);

CREATE TABLE api.webhook_delivery (
  id text PRIMARY KEY,
  webhook_id text NOT NULL REFERENCES config.webhook ON DELETE CASCADE,
  event_id text NOT NULL,
  event_type text NOT NULL,
  call_id text NOT NULL,
  body bytea NOT NULL,
  attempts integer NOT NULL DEFAULT 0,
  state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
  next_at timestamptz,
  last_status integer,
  last_error text,
  created_at timestamptz NOT NULL DEFAULT now(),
  finished_at timestamptz,
  UNIQUE (webhook_id, event_id)     -- a redelivered event is not delivered twice
);
CREATE INDEX webhook_delivery_due ON api.webhook_delivery (next_at) WHERE state = 'pending';

GRANT USAGE ON SCHEMA config TO tandem_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA config TO tandem_reader;
REVOKE SELECT ON config.api_key, config.webhook FROM tandem_reader;
GRANT USAGE ON SCHEMA api TO tandem_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA config, api TO tandem_api;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA config TO tandem_api;
