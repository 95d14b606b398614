-- How a peer is spoken to: services/common/sip_options says what may stand here. Options at
-- their defaults are left out.
ALTER TABLE config.customer_trunk ADD COLUMN sip jsonb NOT NULL DEFAULT '{}';
ALTER TABLE config.vendor_trunk ADD COLUMN sip jsonb NOT NULL DEFAULT '{}';
