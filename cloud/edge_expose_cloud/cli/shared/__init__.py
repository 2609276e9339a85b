"""What commands share: options, output, errors, following and carrying out a plan."""
