"""DNS-PERSIST-01 (draft-ietf-acme-dns-persist): a TXT record that the operator publishes once."""
