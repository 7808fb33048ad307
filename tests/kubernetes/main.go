// Command kubernetes checks manifests strictly against the types of the Kubernetes API: an unknown or repeated field, a wrong
// type and an unknown kind are errors. It also checks what the types do not say: that what refers to a volume, a port or a
// ConfigMap of the same file refers to one that exists.
//
//	go run . [-configurations FOLDER] FILE...
//
// With -configurations, the YAML files in ConfigMaps are written to FOLDER, for expvastic to check.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// Every kind that a manifest here may have, with its API version.
func newObject(apiVersion, kind string) any {
	switch apiVersion + " " + kind {
	case "v1 Pod":
		return &corev1.Pod{}
	case "v1 ConfigMap":
		return &corev1.ConfigMap{}
	case "v1 Secret":
		return &corev1.Secret{}
	case "v1 Service":
		return &corev1.Service{}
	case "v1 PersistentVolumeClaim":
		return &corev1.PersistentVolumeClaim{}
	case "apps/v1 Deployment":
		return &appsv1.Deployment{}
	case "apps/v1 StatefulSet":
		return &appsv1.StatefulSet{}
	}
	return nil
}

func main() {
	folder := flag.String("configurations", "", "write the YAML files in ConfigMaps to this folder")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "usage: kubernetes [-configurations FOLDER] FILE...")
		os.Exit(2)
	}
	bad := false
	for _, path := range flag.Args() {
		text, err := os.ReadFile(path)
		if err == nil {
			err = check(text)
		}
		if err == nil && *folder != "" {
			err = writeConfigurations(text, filepath.Join(*folder, filepath.Base(path)))
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
			bad = true
		}
	}
	if bad {
		os.Exit(1)
	}
}

func documents(text []byte) [][]byte {
	return bytes.Split(text, []byte("\n---\n"))
}

// writeConfigurations writes a file of each ConfigMap to PREFIX-NAME-KEY.
func writeConfigurations(text []byte, prefix string) error {
	for _, document := range documents(text) {
		object, err := read(document)
		if err != nil {
			return err
		}
		if object, ok := object.(*corev1.ConfigMap); ok {
			for key, data := range object.Data {
				if err := os.WriteFile(prefix+"-"+object.Name+"-"+key, []byte(data), 0o600); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func check(text []byte) error {
	var problems []error
	named := map[string]bool{}
	var pods []corev1.PodSpec
	for at, document := range documents(text) {
		object, err := read(document)
		if err != nil {
			problems = append(problems, fmt.Errorf("document %d: %w", at+1, err))
			continue
		}
		switch object := object.(type) {
		case *corev1.Pod:
			pods = append(pods, object.Spec)
		case *appsv1.Deployment:
			pods = append(pods, object.Spec.Template.Spec)
			problems = append(problems, selects(object.Spec.Selector.MatchLabels, object.Spec.Template.Labels))
		case *appsv1.StatefulSet:
			pods = append(pods, object.Spec.Template.Spec)
			problems = append(problems, selects(object.Spec.Selector.MatchLabels, object.Spec.Template.Labels))
		case *corev1.ConfigMap:
			named["ConfigMap "+object.Name] = true
		case *corev1.Secret:
			named["Secret "+object.Name] = true
		case *corev1.PersistentVolumeClaim:
			named["PersistentVolumeClaim "+object.Name] = true
		}
	}
	for _, pod := range pods {
		problems = append(problems, references(pod, named)...)
	}
	return errors.Join(problems...)
}

func read(document []byte) (any, error) {
	var kind struct{ APIVersion, Kind string }
	if err := yaml.Unmarshal(document, &kind); err != nil {
		return nil, err
	}
	object := newObject(kind.APIVersion, kind.Kind)
	if object == nil {
		return nil, fmt.Errorf("unknown kind %q %q", kind.APIVersion, kind.Kind)
	}
	// As the API server decodes what `kubectl` sends: names of fields are compared exactly, by case too.
	asJSON, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		return nil, err
	}
	strict, err := json.UnmarshalStrict(asJSON, object)
	return object, errors.Join(append(strict, err)...)
}

func selects(selector, labels map[string]string) error {
	if len(selector) == 0 {
		return errors.New("the selector is empty")
	}
	for name, value := range selector {
		if labels[name] != value {
			return fmt.Errorf("the selector wants %s=%s, which the template does not have", name, value)
		}
	}
	return nil
}

// What a pod refers to: volumes, and named ports of probes, inside it; ConfigMaps, Secrets and claims of the same file.
func references(pod corev1.PodSpec, named map[string]bool) []error {
	var problems []error
	want := func(kind, name string) {
		if !named[kind+" "+name] {
			problems = append(problems, fmt.Errorf("no %s %q in this file", kind, name))
		}
	}
	volumes := map[string]bool{}
	for _, volume := range pod.Volumes {
		volumes[volume.Name] = true
		if volume.ConfigMap != nil {
			want("ConfigMap", volume.ConfigMap.Name)
		}
		if volume.Secret != nil {
			want("Secret", volume.Secret.SecretName)
		}
		if volume.PersistentVolumeClaim != nil {
			want("PersistentVolumeClaim", volume.PersistentVolumeClaim.ClaimName)
		}
	}
	for _, container := range append(pod.InitContainers, pod.Containers...) {
		for _, mount := range container.VolumeMounts {
			if !volumes[mount.Name] {
				problems = append(problems, fmt.Errorf("container %s mounts no volume %q", container.Name, mount.Name))
			}
		}
		ports := map[string]bool{}
		for _, port := range container.Ports {
			ports[port.Name] = true
		}
		for _, probe := range []*corev1.Probe{container.StartupProbe, container.LivenessProbe, container.ReadinessProbe} {
			if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Port.Type != intstr.String {
				continue
			}
			if name := probe.HTTPGet.Port.StrVal; !ports[name] {
				problems = append(problems, fmt.Errorf("container %s probes no port %q", container.Name, name))
			}
		}
	}
	return problems
}
