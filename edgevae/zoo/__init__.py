"""The bundles shipped in the wheel, one folder each; `edgevae.bundle.names` lists them."""
