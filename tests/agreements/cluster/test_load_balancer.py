"""What the load balancer gives, keeps and refuses, with the texts of its events."""

from __future__ import annotations

from support.waiting import eventually


def test_the_lowest_free_address_is_given_and_said(cluster) -> None:
    ns = cluster.namespace()
    cluster.balancer(ns, "one")
    address = f"{cluster.base}.10"
    assert cluster.wait_address(ns, "one") == address
    shown = f'["{address}"]' if cluster.profile == "1.36" else f'"{address}"'
    assert cluster.event(ns, "one", "IPAllocated") == f"Normal Assigned IP {shown}"
    body = cluster.call("GET", f"{cluster.services(ns)}/one").body
    if cluster.profile == "1.36":
        assert body["status"]["loadBalancer"]["ingress"] == [{"ip": address, "ipMode": "VIP"}]
        assert body["metadata"]["annotations"]["metallb.io/ip-allocated-from-pool"] == "p"
    else:
        assert body["status"]["loadBalancer"]["ingress"] == [{"ip": address}]
        assert "annotations" not in body["metadata"]


def test_a_requested_address_is_given_and_a_changed_request_moves_it(cluster) -> None:
    ns = cluster.namespace()
    cluster.balancer(ns, "one", {"loadBalancerIP": f"{cluster.base}.15"})
    cluster.wait_address(ns, "one", f"{cluster.base}.15")
    cluster.merge(f"{cluster.services(ns)}/one", {"spec": {"loadBalancerIP": f"{cluster.base}.16"}})
    cluster.wait_address(ns, "one", f"{cluster.base}.16")


def test_an_address_outside_the_pool_is_refused_with_its_text_and_the_held_one_is_lost(cluster) -> None:
    ns = cluster.namespace()
    cluster.balancer(ns, "one")
    cluster.wait_address(ns, "one")
    cluster.merge(f"{cluster.services(ns)}/one", {"spec": {"loadBalancerIP": "127.99.0.9"}})
    shown = '["127.99.0.9"]' if cluster.profile == "1.36" else '"127.99.0.9"'
    wanted = f'Warning Failed to allocate IP for "{ns}/one": {shown} is not allowed in config'
    assert cluster.event(ns, "one", "AllocationFailed") == wanted
    eventually(lambda: not cluster.address(ns, "one"), what="address taken away")


def test_one_address_is_shared_only_with_a_key_and_disjoint_ports(cluster) -> None:
    ns = cluster.namespace()
    key = {"metallb.universe.tf/allow-shared-ip": "k"}
    wish = {"loadBalancerIP": f"{cluster.base}.12"}
    cluster.balancer(ns, "one", wish, key)
    cluster.wait_address(ns, "one", f"{cluster.base}.12")
    cluster.balancer(ns, "two", {**wish, "ports": [{"port": 9090}]}, key)
    cluster.wait_address(ns, "two", f"{cluster.base}.12")
    cluster.balancer(ns, "same-port", wish, key)
    text = cluster.event(ns, "same-port", "AllocationFailed")
    assert text.endswith(f'port TCP/8080 is already in use on "{cluster.base}.12"')
    cluster.balancer(ns, "no-key", {**wish, "ports": [{"port": 7070}]})
    text = cluster.event(ns, "no-key", "AllocationFailed")
    assert f'can\'t change sharing key for "{ns}/no-key", address also in use by ' in text


def test_a_full_pool_makes_wait_and_a_deleted_service_helps_the_waiting_one(cluster) -> None:
    ns = cluster.namespace()
    cluster.set_pool(f"{cluster.base}.30-{cluster.base}.30")
    cluster.balancer(ns, "one")
    cluster.wait_address(ns, "one", f"{cluster.base}.30")
    cluster.balancer(ns, "two")
    text = cluster.event(ns, "two", "AllocationFailed")
    assert text == f'Warning Failed to allocate IP for "{ns}/two": no available IPs'
    cluster.call("DELETE", f"{cluster.services(ns)}/one")
    cluster.wait_address(ns, "two", f"{cluster.base}.30")


def test_a_pool_that_no_longer_covers_a_held_address(cluster) -> None:
    ns = cluster.namespace()
    cluster.balancer(ns, "one")
    cluster.wait_address(ns, "one", f"{cluster.base}.10")
    cluster.set_pool(f"{cluster.base}.40-{cluster.base}.41")
    if cluster.profile == "1.36":
        cluster.wait_address(ns, "one", f"{cluster.base}.40")
        return
    cluster.balancer(ns, "two")  # the old configuration still holds, so the next address is an old one
    assert cluster.wait_address(ns, "two") == f"{cluster.base}.11"
    assert cluster.address(ns, "one") == f"{cluster.base}.10"


def test_a_type_change_frees_the_address_and_coming_back_is_a_new_choice(cluster) -> None:
    ns = cluster.namespace()
    cluster.balancer(ns, "one")
    cluster.wait_address(ns, "one", f"{cluster.base}.10")
    path = f"{cluster.services(ns)}/one"
    answer = cluster.merge(path, {"spec": {"type": "ClusterIP"}})
    assert answer.status == 200
    if cluster.profile == "1.36":
        assert not answer.body["status"]["loadBalancer"].get("ingress")
    eventually(lambda: not cluster.address(ns, "one"), what="address taken away")
    assert "nodePort" not in answer.body["spec"]["ports"][0]
    assert "externalTrafficPolicy" not in answer.body["spec"]
    cluster.balancer(ns, "two")
    cluster.wait_address(ns, "two", f"{cluster.base}.10")
    cluster.merge(path, {"spec": {"type": "LoadBalancer"}})
    cluster.wait_address(ns, "one", f"{cluster.base}.11")


def test_after_a_restart_everyone_keeps_the_address_in_its_status(cluster) -> None:
    ns = cluster.namespace()
    for name, last in (("one", 13), ("two", 11)):
        cluster.balancer(ns, name, {"loadBalancerIP": f"{cluster.base}.{last}"})
        cluster.wait_address(ns, name)
        cluster.merge(f"{cluster.services(ns)}/{name}", {"spec": {"loadBalancerIP": None}})
    cluster.restart()
    cluster.balancer(ns, "three")
    cluster.wait_address(ns, "three", f"{cluster.base}.10")
    assert (cluster.address(ns, "one"), cluster.address(ns, "two")) == (f"{cluster.base}.13", f"{cluster.base}.11")


def test_the_annotation_is_read_by_the_new_version_only(cluster) -> None:
    ns = cluster.namespace()
    cluster.balancer(ns, "one", annotations={"metallb.universe.tf/loadBalancerIPs": f"{cluster.base}.17"})
    expected = f"{cluster.base}.17" if cluster.profile == "1.36" else f"{cluster.base}.10"
    cluster.wait_address(ns, "one", expected)


def test_field_and_annotation_together_are_refused(cluster) -> None:
    if cluster.profile != "1.36":
        return
    ns = cluster.namespace()
    wish = {"loadBalancerIP": f"{cluster.base}.17"}
    cluster.balancer(ns, "one", wish, {"metallb.io/loadBalancerIPs": f"{cluster.base}.17"})
    text = cluster.event(ns, "one", "AllocationFailed")
    assert text.endswith("service can not have both metallb.io/loadBalancerIPs and svc.Spec.LoadBalancerIP")
