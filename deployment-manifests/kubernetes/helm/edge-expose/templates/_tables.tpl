{{/* Written by tests/cluster/kubernetes_files.py from the tables of the module. */}}
{{- define "edge-expose.steers" -}}
(k.lowerAscii().matches(r'^([^/]*\.)?(metallb\.io|metallb\.universe\.tf|purelb\.io|kube\-vip\.io|loxilb\.io|openelb\.io|kubesphere\.io|cattle\.io|f5\.com|vmware\.com|ncp|a10networks\.com|citrix\.com|netscaler\.com|haproxy\.org|tailscale\.com|amazonaws\.com|azure\.com|cloud\.google\.com|gke\.io|oraclecloud\.com|openstack\.org|hetzner\.cloud|digitalocean\.com|civo\.com|ovhcloud\.com|equinix\.com|aliyun\.com|yandex\.cloud|cilium\.io|io\.cilium|projectcalico\.org|tigera\.io|antrea\.io|kube\-router\.io|ovn\.org|coredns\.io|kubernetes\.io|k8s\.io)/|^([^/]*[.-])?([a-z]?lbs?|lb-?ipam|open-?elb|[a-z]*-?load-?balanc(er|ers|ing)|eips?|vips?|ipam|bgp|[a-z]*-?dns)([.-][^/]*)?/|(load-?balancer|external-?dns)[^/]*$') && !k.lowerAscii().matches(r'^(app\.kubernetes\.io|config\.kubernetes\.io|internal\.config\.kubernetes\.io|kubectl\.kubernetes\.io)/'))
{{- end }}
{{- define "edge-expose.refusedNetworks" -}}
['0.0.0.0/8', '::/128', '127.0.0.0/8', '::1/128', '169.254.169.254/32', '168.63.129.16/32', '100.100.100.200/32', '192.0.0.192/32', 'fd00:ec2::254/128', 'fd20:ce::254/128', '169.254.0.0/16', 'fe80::/10', '224.0.0.0/4', 'ff00::/8', '255.255.255.255/32', '240.0.0.0/4', '64:ff9b::/96', '64:ff9b:1::/48', '2002::/16', '2001::/32', '::/96', '::ffff:0:0:0/96']
{{- end }}
