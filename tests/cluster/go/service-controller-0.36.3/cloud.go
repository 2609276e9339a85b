package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	cloudprovider "k8s.io/cloud-provider"
)

// cloud gives each Service the address it asks for, else the one it has, else the lowest free one. It holds an address
// until the service controller asks for its deletion, through a restart too: a real cloud forgets nothing, and this one
// reads what it gave out from the status of all Services.
type cloud struct {
	file     string
	services listers.ServiceLister
	synced   cache.InformerSynced
	lock     sync.Mutex
	given    map[netip.Addr]types.UID
}

func newCloud(file string) *cloud { return &cloud{file: file} }

func (c *cloud) SetInformers(factory informers.SharedInformerFactory) {
	services := factory.Core().V1().Services()
	c.services, c.synced = services.Lister(), services.Informer().HasSynced
}

// remember fills the table once, from what the Services carry. Callers hold the lock.
func (c *cloud) remember(ctx context.Context) error {
	if c.given != nil {
		return nil
	}
	if !cache.WaitForCacheSync(ctx.Done(), c.synced) {
		return fmt.Errorf("the cloud is starting")
	}
	all, err := c.services.List(labels.Everything())
	if err != nil {
		return err
	}
	c.given = map[netip.Addr]types.UID{}
	for _, service := range all {
		for _, ingress := range service.Status.LoadBalancer.Ingress {
			if address, err := netip.ParseAddr(ingress.IP); err == nil {
				c.given[address] = service.UID
			}
		}
	}
	return nil
}

// bounds reads the range anew at each request, so that a test can change it.
func (c *cloud) bounds() (netip.Addr, netip.Addr, error) {
	text, err := os.ReadFile(c.file)
	if err != nil {
		return netip.Addr{}, netip.Addr{}, err
	}
	first, last, _ := strings.Cut(strings.TrimSpace(string(text)), "-")
	low, err := netip.ParseAddr(first)
	if err != nil {
		return low, low, err
	}
	high, err := netip.ParseAddr(last)
	return low, high, err
}

func (c *cloud) held(service *v1.Service) (netip.Addr, bool) {
	for address, owner := range c.given {
		if owner == service.UID {
			return address, true
		}
	}
	return netip.Addr{}, false
}

func (c *cloud) GetLoadBalancer(
	ctx context.Context, _ string, service *v1.Service) (*v1.LoadBalancerStatus, bool, error) {
	c.lock.Lock()
	defer c.lock.Unlock()
	if err := c.remember(ctx); err != nil {
		return nil, false, err
	}
	address, exists := c.held(service)
	if !exists {
		return nil, false, nil
	}
	return status(address), true, nil
}

func (c *cloud) GetLoadBalancerName(_ context.Context, _ string, service *v1.Service) string {
	return cloudprovider.DefaultLoadBalancerName(service)
}

func (c *cloud) EnsureLoadBalancer(
	ctx context.Context, _ string, service *v1.Service, _ []*v1.Node) (*v1.LoadBalancerStatus, error) {
	c.lock.Lock()
	defer c.lock.Unlock()
	if err := c.remember(ctx); err != nil {
		return nil, err
	}
	before, has := c.held(service)
	address, err := c.choose(service, before, has)
	if err != nil {
		return nil, err
	}
	if has {
		delete(c.given, before)
	}
	c.given[address] = service.UID
	return status(address), nil
}

func (c *cloud) choose(service *v1.Service, before netip.Addr, has bool) (netip.Addr, error) {
	low, high, err := c.bounds()
	if err != nil {
		return netip.Addr{}, err
	}
	if asked := service.Spec.LoadBalancerIP; asked != "" {
		address, err := netip.ParseAddr(asked)
		if err != nil {
			return address, fmt.Errorf("invalid loadBalancerIP %q", asked)
		}
		if address.Less(low) || high.Less(address) {
			return address, fmt.Errorf("address %s is not in the range %s-%s", address, low, high)
		}
		if owner, taken := c.given[address]; taken && owner != service.UID {
			return address, fmt.Errorf("address %s is already in use", address)
		}
		return address, nil
	}
	if has {
		return before, nil
	}
	for address := low; !high.Less(address); address = address.Next() {
		if _, taken := c.given[address]; !taken {
			return address, nil
		}
	}
	return low, fmt.Errorf("no free address in the range %s-%s", low, high)
}

func (c *cloud) UpdateLoadBalancer(context.Context, string, *v1.Service, []*v1.Node) error {
	return nil
}

func (c *cloud) EnsureLoadBalancerDeleted(ctx context.Context, _ string, service *v1.Service) error {
	c.lock.Lock()
	defer c.lock.Unlock()
	if err := c.remember(ctx); err != nil {
		return err
	}
	if address, has := c.held(service); has {
		delete(c.given, address)
	}
	return nil
}

func status(address netip.Addr) *v1.LoadBalancerStatus {
	return &v1.LoadBalancerStatus{Ingress: []v1.LoadBalancerIngress{{IP: address.String()}}}
}

// The rest of a cloud, which this one does not have.

func (c *cloud) Initialize(cloudprovider.ControllerClientBuilder, <-chan struct{}) {}
func (c *cloud) LoadBalancer() (cloudprovider.LoadBalancer, bool)                  { return c, true }
func (c *cloud) Instances() (cloudprovider.Instances, bool)                        { return nil, false }
func (c *cloud) InstancesV2() (cloudprovider.InstancesV2, bool)                    { return nil, false }
func (c *cloud) Zones() (cloudprovider.Zones, bool)                                { return nil, false }
func (c *cloud) Clusters() (cloudprovider.Clusters, bool)                          { return nil, false }
func (c *cloud) Routes() (cloudprovider.Routes, bool)                              { return nil, false }
func (c *cloud) ProviderName() string                                              { return "edge-expose-tests" }
func (c *cloud) HasClusterID() bool                                                { return true }
