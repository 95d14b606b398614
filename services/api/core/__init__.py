"""Pure rules: sheets, diffs, cursors, keys, signatures; values in, values out."""
