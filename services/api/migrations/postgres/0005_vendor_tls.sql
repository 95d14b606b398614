-- Vendors may be called over TLS.
ALTER TABLE config.vendor_trunk DROP CONSTRAINT vendor_trunk_transport_check;
ALTER TABLE config.vendor_trunk ADD CONSTRAINT vendor_trunk_transport_check
  CHECK (transport IN ('udp', 'tcp', 'tls'));
